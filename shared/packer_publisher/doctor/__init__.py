"""What is right and what is wrong with a deployment, line by line, and how to mend it."""
