"""What a run leaves on disk: scores, times and the settings they were made with, safe under a kill at any byte."""
