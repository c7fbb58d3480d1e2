"""What an exception means to the policies, what hint it carries, and how it may be written down."""
