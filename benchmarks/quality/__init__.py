"""What transfer is worth: students with and without a teacher, three seeds each."""
