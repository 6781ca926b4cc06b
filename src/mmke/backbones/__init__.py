"""The models that are edited: how each is put together, prompted, cut and loaded.

- A backbone each: `llava`, `minigpt4`, `blip2` (its image side and MiniGPT-4's: `qformer`), `smol/` (small real models
  that come with the package), `hf/` (any model of the library), `tiny` (random ones, for tests). Its `load` is what the
  registry names.
- What they are all made of: `composed` (trunk and tail), `vision`, `decoder` (cuts), `prompt`, `packing`,
  `pictures`.
- What is done with them: `answering`, `greedy`, `replay`, `weights` (edited tensors that stand in), `store`.
- Where weights come from: `loading` (a checkpoint, random, or none), `checkpoints/` (layouts, places, files, fetching),
  `llama_tokenizer`, `stand_in`.
"""

from mmke.torchvision import leave_out_if_broken

# Before any part imports transformers.
leave_out_if_broken()
