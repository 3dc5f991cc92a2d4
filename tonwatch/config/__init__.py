"""What to watch and how: models, and how they are loaded. It knows no kind of target."""
