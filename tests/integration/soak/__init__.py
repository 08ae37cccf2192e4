"""A site under load, hour after hour, while everything around it breaks: ``scripts/soak``.

``site`` is what is under load; ``faults`` and ``clients`` are what happens to it, and what that may cost; ``phases``
says which of it when, ``run`` does it and judges. ``ledger``, ``announcer`` and ``figures`` are what it judges by.
"""
