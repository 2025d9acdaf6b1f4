"""What a knowledgeable colleague would say of a body of images before anything is trained on it."""
