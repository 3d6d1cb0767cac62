"""NumbersOnly: probes without pictures."""

import pytorch_lightning as pl


class NumbersOnly(pl.Callback):
    """Where it is among the callbacks, probes leave tables and numbers, and draw nothing.

    For sweeps, and wherever a tenth of a second of another process's time for each picture is too much.
    """
