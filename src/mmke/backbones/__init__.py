"""The models that are edited: how each is put together, prompted, cut and loaded.

- A backbone each: `llava`, `minigpt4`, `blip2` (its image side and MiniGPT-4's: `qformer`), `smol/` (small real models
  that come with the package), `hf/` (any model of the library), `tiny` (random ones, for tests). Its `load` is what the
  registry names.
- What they are made of: `vision`, `prompt`, `pictures`, and `engine/` (trunk and tail, cuts, packs, decoding, replay,
  the store, edited tensors that stand in for the module's own).
- Where weights come from: `weights/` (layouts, locations, files, loading, fetching), `llama_tokenizer`.
"""

from mmke.torchvision import leave_out_if_broken

# Before any part imports transformers.
leave_out_if_broken()
