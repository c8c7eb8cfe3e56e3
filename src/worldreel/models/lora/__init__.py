"""LoRA (Hu et al. 2021): small files that change what a transformer has learned.

A layer y = W·x + b becomes y = (W + weight·alpha/r·up·down)·x + b, with `down` `[r, in]` and `up`
`[out, r]`: a few numbers a layer, trained by others and handed round as one file.

names.py   what the makers of such files call things
read.py    a file → changes of our own tensors, checked before anything is changed
apply.py   changes → a transformer that has them, fused into its weights or live beside them
choose.py  the LoRAs of a request → a model that has them
"""

from worldreel.models.lora.apply import Applied, Live, apply_loras
from worldreel.models.lora.choose import fingerprint, put_loras

__all__ = ["Applied", "Live", "apply_loras", "fingerprint", "put_loras"]
