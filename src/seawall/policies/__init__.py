"""What users build: options, validated, around a machine, a lock and a clock."""
