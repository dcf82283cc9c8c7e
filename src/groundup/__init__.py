"""groundup trains language models from the ground up on your own documents."""
