"""Open weights of the Wan family, read into our own transformer and codec.

files.py     a folder of safetensors, in one piece or many, checked before it is read
parts.py     one of our tensors and those of theirs that it is made of
network.py   the transformer's tensors, in the original and in the diffusers layout
pixels.py    the codecs' tensors, in both layouts
cards.py     config.json of either layout → our configurations
load.py      a folder → a network
kinds.py     what weights were trained to do, and how that is told
published.py how each kind was published to be used
text.py      UMT5: prompt → text states
image.py     CLIP: given picture → image states
beside.py    what image-to-video networks are told beside the noisy latents
causal.py    block by block
placing.py   where the networks are while they work
model.py     all kinds as one model: `denoise`
pipeline.py  a folder → a model
"""
