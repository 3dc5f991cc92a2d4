"""What is asked again and again of more than one target."""
