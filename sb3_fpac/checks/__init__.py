"""What does not fit together, before and during training: errors and warnings that name the cause and the cure."""
