"""What an unedited model knows of the records before any edit."""
