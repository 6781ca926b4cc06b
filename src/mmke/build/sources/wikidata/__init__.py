"""The source `wikidata`: things of a class with their statements from Wikidata and their pictures from Commons."""
