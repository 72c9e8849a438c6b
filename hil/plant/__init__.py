"""The plant: what the pump acts on and senses, as a deterministic model that answers over the plant link.

It is made of parts that know nothing of the pump's program: `syringe` (drive, plunger, geometry), `line` (compliance, occlusion,
air, the patient's end), `sensors` (what can be read of it, with noise and faults), `frames` (the wire format), `model` (these
together) and `link` (sequence numbers, faults of the wire, the record of all exchanges).

What always holds: the same seed and the same calls give the same answers; time passes only by exchanges, 100 ms each; the plant's
account of volumes comes from its mechanics and never from what the pump reports.
"""
