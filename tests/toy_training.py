"""Settings of trainings that are two steps long."""

TRAINER = [
    "trainer.steps=2",
    "trainer.workers=0",
    "trainer.warmup=0",
    "trainer.log_every=1",
    "trainer.checkpoint_every=1",
]
VALIDATED = [*TRAINER, "trainer.validate_every=2"]
