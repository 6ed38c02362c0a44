"""Keys that ``wsipsm train`` alone reads."""

from __future__ import annotations

from pydantic import Field

from wsipsm.config.base import Section

_MEMBER_SEEDS = 1_000_003


class TrainingConfig(Section):
    """Training of the segmenter; ``wsipsm train`` alone reads it.

    Rounds: first on pseudo labels of the pseudo mask, then on labels of the EMA teachers.
    """

    purposes = frozenset({"training"})

    seed: int = Field(default=0, ge=0)
    """Seed of fields, initial weights and batches."""
    widths: tuple[int, ...] = (8, 16, 32, 48)
    """Channels of each level of the U-Net, fine to coarse."""
    logarithm: bool = False
    """Networks take the logarithm of the density first: for stains of which a strong one hides a weak one."""
    fields: int = Field(default=8, ge=1)
    """Fields sampled over the tissue of a slide; a slide that is hardly larger than a field is one field."""
    field_px: int = Field(default=512, ge=192, le=2048)
    """Side of a field, grid pixels."""
    members: int = Field(default=3, ge=1, le=16)
    """Segmenters that learn side by side, from different seeds; the labels of a further round come from the mean of
    their EMA teachers. In the last round only the first learns, and it is the result."""
    steps: int = Field(default=500, ge=1)
    """Optimiser steps of the first round, on the labels of the pseudo masks."""
    rounds: int = Field(default=8, ge=0)
    """Further rounds, on labels of the EMA teachers."""
    final_rounds: int = Field(default=3, ge=0)
    """Last rounds, whose labels are found as a run finds cells; in those before, the ``label_`` keys split nuclei more
    readily."""
    round_steps: int = Field(default=300, ge=1)
    """Optimiser steps of each further round."""
    batch: int = Field(default=8, ge=1)
    """Crops a step."""
    patch_px: int = Field(default=128, ge=32)
    """Side of a crop, grid pixels; a multiple of the network's stride."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Peak of the cosine schedule."""
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the exponential moving average (EMA) of the weights, the teacher."""
    label_threshold: float = Field(default=0.12, ge=0, lt=1)
    """Distance from which on a pixel can belong to a label in rounds before the final ones."""
    final_threshold: float = Field(default=0.1, ge=0, lt=1)
    """The same in the final rounds. Lower thresholds let labels grow and merge from round to round."""
    label_smoothing_um: float = Field(default=0.35, ge=0, le=2)
    """``segmenter.distance_smoothing_um`` for the labels of rounds before the final ones, micrometres."""
    label_split_height: float = Field(default=0.12, gt=0, le=1)
    """``labels.split_height`` for these labels: merged nuclei would be learnt, fragments are doubtful anyway."""
    min_scale: float = Field(default=0.8, gt=0, le=1)
    """Smallest factor by which crops are resized."""
    zoom_out_scale: float = Field(default=0.5, gt=0, le=1)
    """``min_scale`` in the zoom-out rounds: large nuclei that are easy to separate, made small, teach how to separate
    small ones."""
    zoom_out_rounds: int = Field(default=6, ge=0)
    """Last rounds that use ``zoom_out_scale``; the labels must be good before."""
    max_scale: float = Field(default=1.25, ge=1, le=2)
    """Largest factor by which crops are resized."""
    stain_jitter: float = Field(default=0.2, ge=0, lt=1)
    """Largest share by which the strength of each stain is varied."""
    od_shift: float = Field(default=0.03, ge=0)
    """Largest shift of each stain's density, up or down, share of the slide's 99th percentile of density."""
    blur_px: float = Field(default=1.2, ge=0.3)
    """Largest standard deviation of the blur of some crops, grid pixels."""
    noise_od: float = Field(default=0.04, ge=0)
    """Largest standard deviation of the noise on some crops, share of the slide's 99th percentile of density."""
    trusted_fill: float = Field(default=0.9, ge=0, le=1)
    """Labels that fill less of their moment ellipse are doubtful."""
    trusted_contrast: float = Field(default=0.2, ge=0, lt=1)
    """Labels that are less than this share darker than the ring around them are doubtful."""
    trusted_area_um2: float = Field(default=6, ge=0)
    """Smaller labels are doubtful, square micrometres."""
    trusted_probability: float = Field(default=0.7, ge=0, le=1)
    """Labels of a lower mean probability are doubtful."""
    doubtful_weight: float = Field(default=0.15, ge=0, le=1)
    """Weight of pixels of doubtful labels, and of likely nucleus outside all labels."""
    likely: float = Field(default=0.3, ge=0, le=1)
    """Probability from which on a pixel outside all labels counts as likely nucleus."""
    distil_steps: int = Field(default=1500, ge=0)
    """Optimiser steps after the last round, on the mean maps of all segmenters over four rotations, so that one pass of
    one segmenter comes near to many of all; 0 for none."""
    distil_rate: float = Field(default=0.002, gt=0, le=1)
    """Peak of the cosine schedule of these steps."""
    distil_share: float = Field(default=0.5, ge=0, le=1)
    """Where the result's weights lie between those before these steps, 0, and those after, 1."""
    threads: int = Field(default=1, ge=1)
    """CPU threads; another number may change the last bits of the weights."""

    def settings_of_member(self, member: int) -> TrainingConfig:
        """Settings of one of the segmenters that learn side by side, 0 for the first: its seed differs."""
        return self.model_copy(update={"seed": self.seed + _MEMBER_SEEDS * member})

    def members_in_round(self, number: int) -> int:
        """Number of segmenters that learn in a round, 0 for the first round."""
        return self.members if number < self.rounds else 1

    @property
    def learners(self) -> int:
        """Number of segmenters that learn at all: only one where there are no further rounds."""
        return self.members_in_round(max(self.rounds - 1, 0))

    def last_round_of(self, member: int) -> int:
        """Last round in which a segmenter learns."""
        return self.rounds if member == 0 else self.rounds - 1

    def is_final_round(self, number: int) -> bool:
        """Whether labels of a round are found as a run finds cells."""
        return number > self.rounds - self.final_rounds

    def settings_of_round(self, number: int) -> TrainingConfig:
        """Settings of a round, 0 for the first: the last ones learn from crops that are zoomed out further."""
        if number <= self.rounds - self.zoom_out_rounds:
            return self
        return self.model_copy(update={"min_scale": self.zoom_out_scale})
