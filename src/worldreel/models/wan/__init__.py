"""Open weights of the Wan family, read into our own transformer and codec.

files.py     a folder of safetensors, in one piece or many, checked before it is read
parts.py     one of our tensors and those of theirs that it is made of
network.py   the transformer's tensors, in the original and in the diffusers layout
pixels.py    the codecs' tensors, in both layouts
cards.py     config.json of either layout → our configurations
load.py      a folder → a network
"""
