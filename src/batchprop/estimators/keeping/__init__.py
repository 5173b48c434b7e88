"""What a fit keeps so that nothing is lost: where it stands, checkpoints of it in files, and the way back."""
