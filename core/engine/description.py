"""The description of an open run for clients and the command line."""

from __future__ import annotations

import torch

from core.engine.answers import BackendChange, RunAnswer
from core.engine.session import Session
from core.runs.summary import run_summary


def describe(session: Session, stays: bool = True) -> RunAnswer:
    """The run of a session, as the answer to ``open`` and ``create``."""
    trainer, change, metadata = session.trainer, session.change, session.metadata
    config = trainer.config if trainer is not None else metadata.config
    backend_change = change and BackendChange(change.words, change.as_before is not None, change.remains)
    return RunAnswer(
        run=session.run.path,
        state=session.state,
        epoch=trainer.epoch if trainer is not None else run_summary(session.run).epoch,
        config=config,
        parameters=metadata.parameters,
        vocabulary=len(session.vocabulary),
        name=session.run.name,
        message=session.message,
        num_epochs=config.num_epochs,
        corpus=metadata.corpus,
        batches_per_epoch=trainer.batches.per_epoch if trainer is not None else 0,
        shapes=tuple(session.model.describe()),
        device=str(next(session.model.parameters()).device),
        threads=torch.get_num_threads(),
        backend_report=trainer.backend_report if trainer is not None else {},
        change=backend_change or None,
        no_training=session.no_training,
        save_problem=session.save_problem,
        stays=stays,
    )
