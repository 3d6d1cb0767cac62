"""ProgressBar: how far a run is."""

from pytorch_lightning.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's `RichProgressBar`, which for a run without a last epoch would tell `Epoch 3/-2`."""

    def _get_train_description(self, current_epoch: int) -> str:
        whole: str = super()._get_train_description(current_epoch)
        return whole.replace("/-2", "")
