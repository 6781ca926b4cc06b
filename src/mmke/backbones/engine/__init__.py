"""How backbones compute: cuts, trunk and tail, packs of queries, decoding, recorded steps, the store."""
