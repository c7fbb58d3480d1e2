"""What happened, as small values; who listens to it; and a bounded journal of it."""
