"""Clients that lose their network again and again while the site is restarted around them: ``scripts/soak --recovery``.

``site`` is what is restarted, ``faults`` says how; ``speakers`` send to groups, ``members`` are the clients; ``truth``
holds what members were given against what the histories have, and ``run`` does all of it.
"""
