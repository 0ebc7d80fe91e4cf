"""The parts before and after the recurrence, with gradients by hand: input part, output product, loss."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.models.products import factor_format, narrowed, product, transposed_product
from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.bindings import Part

# The logits live in blocks of whole rows of about so many numbers: they stay in a CPU's cache from product to product,
# and a large vocabulary does not need memory for all steps at once.
BLOCK = {"cpu": 1 << 19, "cuda": 1 << 26}
# Rows of a block, at least: each block reads all weights of the output layer and adds to all of their gradient. With
# few rows, the time of a token would grow with the square of the vocabulary.
FEWEST_ROWS = 128
# Tokens of a vocabulary up to which the compiled output layer serves. Of a larger one a block has few rows, and the
# library's products are faster: as fast at 3,000, 1.3 times at 8,000, 1.6 at 20,000 (256 units, one thread).
LARGEST_COMPILED = 4096
# Hidden units up to which it serves in bfloat16: with two threads it takes as long as the library at 512 units, 0.7 to
# 0.85 of its time at 1,024, and 1.1 at 2,048; with one thread 1.06 at 1,024.
WIDEST_NARROW = 1024


def dropped(H: Tensor, share: float, part: Part | None = None, *, fused: bool = True) -> Tensor:
    """H with that share of its units silenced, the others scaled up so that the mean stays (Srivastava et al. 2014).

    Draws from the device's global random generator, as much for a ``part`` of the rows of a batch as for all of them:
    the rows get the numbers that they have in the whole batch, and the generators of all workers stay alike. H is
    (num_steps, rows, width) then. ``fused``: whether the compiled kernel may serve.
    """
    if H.device.type != "cpu":
        return dropped_by_torch(H, share, part)
    silenced = min(round(share * 2**16), 2**16 - 1)
    if fused and bindings.serves(H):
        silent: Tensor = Dropout.apply(H, silenced, part)  # type: ignore[no-untyped-call]
        return silent
    # PyTorch draws a double for each unit on a CPU: 6 ns. Four units share a random number of 64 bits here: 1.4 ns.
    whole = H.shape if part is None else (H.shape[0], part.whole, H.shape[2])
    count = math.prod(whole)
    bits = H.new_empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    keep = (bits[:count] >= silenced - 2**15).to(H.dtype).mul_(2**16 / (2**16 - silenced)).view(whole)
    return H * _rows(keep, H, part)


def dropped_by_torch(H: Tensor, share: float, part: Part | None = None) -> Tensor:
    """The same with the random numbers of ``torch.nn``."""
    if part is None:
        return torch.nn.functional.dropout(H, share)
    keep = torch.nn.functional.dropout(H.new_ones(H.shape[0], part.whole, H.shape[2]), share)
    return H * _rows(keep, H, part)


def _rows(keep: Tensor, H: Tensor, part: Part | None) -> Tensor:
    return keep if part is None else keep[:, part.first : part.first + H.shape[1]]


class Dropout(torch.autograd.Function):
    """Compiled dropout: the backward pass draws the same numbers again, so no mask is kept."""

    @staticmethod
    def forward(ctx: Any, H: Tensor, silenced: int, part: Part | None = None) -> Tensor:
        ctx.silenced, ctx.part = silenced, part
        ctx.seed = int(H.new_empty((), dtype=torch.int64).random_())
        return bindings.dropout(H, silenced, ctx.seed, part)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dY: Tensor) -> tuple[Tensor | None, ...]:
        return bindings.dropout(dY, ctx.silenced, ctx.seed, ctx.part), None, None


class LookUp(torch.autograd.Function):
    """``table[ids] + b``: the product of one-hot rows with a matrix, ``one_hot(ids) @ table + b``, without the product.

    Shapes: ids (n,) integers, table (vocabulary, columns), b (columns,) or None -> (n, columns).
    """

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor, b: Tensor | None, fused: bool = True) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.rows, ctx.fused = table.shape[0], fused
        found = table.index_select(0, ids)
        return found if b is None else found.add_(b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dA: Tensor) -> tuple[Tensor | None, ...]:
        (ids,) = ctx.saved_tensors
        if dA.device.type == "cuda":  # where index_add_ adds in no fixed order, and the same seed gives other numbers
            d_table = torch.ops.aten.embedding_dense_backward(dA, ids, ctx.rows, -1, False)
        elif ctx.fused and bindings.serves(dA):
            d_table = bindings.add_rows(dA.new_zeros(ctx.rows, dA.shape[1]), ids, dA)
        else:
            d_table = dA.new_zeros(ctx.rows, dA.shape[1]).index_add_(0, ids, dA)
        return None, d_table, dA.sum(0) if ctx.needs_input_grad[2] else None, None


class Linear(torch.autograd.Function):
    """``X @ W + b``: (rows, inner), (inner, columns), (columns,) or None -> (rows, columns)."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, W: Tensor, b: Tensor | None, bf16: bool, fused: bool = True) -> Tensor:
        ctx.save_for_backward(X, W)
        ctx.bf16, ctx.fused = bf16, fused
        return product(X, W, b, bf16=bf16)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dY: Tensor) -> tuple[Tensor | None, ...]:
        X, W = ctx.saved_tensors
        dX = product(dY, W.t(), bf16=ctx.bf16) if ctx.needs_input_grad[0] else None
        dW = transposed_product(X, dY, bf16=ctx.bf16, fused=ctx.fused) if ctx.needs_input_grad[1] else None
        return dX, dW, dY.sum(0) if ctx.needs_input_grad[2] else None, None, None


class OutputLoss(torch.autograd.Function):
    """The mean cross-entropy of ``softmax(H @ W + b)`` against the targets, with its gradients in the same pass.

        P = softmax(H W + b),    loss = -1/n sum_r mask_r log P[r, target_r]
        dlogits = mask * (P - one_hot(target)) / n,    dH = dlogits W^T,    dW = H^T dlogits,    db = sum of its rows

    The buffer of the logits becomes dlogits in place, block by block; n is the number of unmasked rows. In single
    precision ``output.c`` does all of it, also where rounded factors are multiplied in it; in bfloat16
    ``output_bf16.c`` where there is a matrix unit. Else, and for a large vocabulary, ``loss.c`` does what is between
    products.

    Shapes: H (rows, hidden), W (hidden, vocabulary), b (vocabulary,), targets (rows,) integers, mask (rows,) or None,
    differentiate: whether gradients will be asked for, fused: whether the compiled kernels may serve -> () in H's
    format. The loss of no rows is zero.
    """

    @staticmethod
    def forward(
        ctx: Any,
        H: Tensor,
        W: Tensor,
        b: Tensor,
        targets: Tensor,
        mask: Tensor | None,
        bf16: bool,
        differentiate: bool,
        fused: bool = True,
    ) -> Tensor:
        fused = fused and bindings.serves(H)
        weights = None if mask is None else mask.to(H.dtype)
        scale = 1.0 / max(1, H.shape[0]) if weights is None else weights.sum().clamp_min(1).reciprocal()
        if fused:
            bindings.require_ids(targets, W.shape[1], "targets")
        is_narrow = bf16 and factor_format(H.device) is torch.bfloat16
        if fused and len(H) > 0 and is_one_call(W, bf16=bf16):
            given = (narrowed(H), narrowed(W)) if bf16 and not is_narrow else (H, W)
            compute, surprises, gradients = bindings.output_loss(
                *given, b, targets, weights, float(scale), differentiate=differentiate, bf16=is_narrow
            )
            compute()
            if gradients is not None:
                ctx.save_for_backward(*gradients)
                ctx.scale, ctx.is_compiled = 1.0, True
            return (surprises.sum() if weights is None else surprises.dot(weights)).mul_(scale)
        limit = BLOCK.get(H.device.type, 1 << 24) * (4 if fused and bf16 else 1)  # the matrix unit wants larger blocks
        blocks = max(1, min(-(-H.shape[0] * W.shape[1] // limit), H.shape[0] // FEWEST_ROWS))
        size = -(-H.shape[0] // blocks)  # rows in a block: all of about one size
        H_factor, W_factor = (narrowed(H), narrowed(W)) if bf16 else (H, W)
        b_inside = b if W_factor.dtype is H.dtype else None  # rounded, a bias would permanently shift a token's score
        loss, dH, dW, db = H.new_zeros(()), torch.empty_like(H) if differentiate else None, None, None
        for start in range(0, max(1, H.shape[0]), max(1, size)):
            rows = slice(start, start + size)
            weight = None if weights is None else weights[rows]
            if fused:
                dlogits = product(H_factor[rows], W_factor, b_inside)  # (size, vocabulary), logits at first
                surprise = bindings.cross_entropy(dlogits, b, targets[rows], weight, differentiate=differentiate)
            else:
                logits = product(H_factor[rows], W_factor, b_inside).to(H.dtype)  # (size, vocabulary)
                logits = logits.add_(b) if b_inside is None else logits
                surprise, dlogits = _cross_entropy(logits, targets[rows], weight, differentiate)
            loss += surprise.sum() if weight is None else surprise.dot(weight)
            if dH is None:
                continue
            if bf16:
                narrow = dlogits.bfloat16()
                dlogits = dlogits.copy_(narrow) if dlogits.dtype is W_factor.dtype else narrow.to(W_factor.dtype)
            dH[rows] = product(dlogits, W_factor.t())
            dW_block = transposed_product(H_factor[rows], dlogits, fused=fused)
            dW = dW_block.to(H.dtype) if dW is None else dW.add_(dW_block)
            db_block = bindings.sum_of_rows(dlogits) if fused else dlogits.sum(0, dtype=H.dtype)
            db = db_block if db is None else db.add_(db_block)
        if dH is not None and dW is not None and db is not None:
            ctx.save_for_backward(dH, dW, db)
            ctx.scale, ctx.is_compiled = scale, False
        return loss.mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        gradients, factor = ctx.saved_tensors, d_loss * ctx.scale
        # Those of the compiled kernels are handed on, not copied; a device is not asked, it would be waited for.
        if not ctx.is_compiled or float(factor) != 1:
            gradients = tuple(gradient * factor for gradient in gradients)
        dH, dW, db = gradients
        return dH, dW, db, None, None, None, None, None


def is_one_call(W: Tensor, *, bf16: bool) -> bool:
    """Whether one compiled call computes the output layer of these weights with its loss, where the kernels serve."""
    if bf16 and factor_format(W.device) is torch.bfloat16:
        has_tiles = bindings.arithmetic(bf16=True) is bindings.Arithmetic.BF16_TILES
        return has_tiles and W.shape[0] <= WIDEST_NARROW and W.shape[1] <= LARGEST_COMPILED
    return W.shape[1] <= LARGEST_COMPILED


def _cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, differentiate: bool
) -> tuple[Tensor, Tensor]:
    """The surprise of each target in nats, (rows,), and weight * (softmax - one_hot), which takes the logits' place.

    A token less likely than the smallest normal number counts as just that: 87 nats. The compiled loss has no limit.
    """
    P = torch.softmax(logits, dim=1, out=logits if logits.device.type == "cpu" else None)
    target = targets.unsqueeze(1)  # (rows, 1)
    likelihood = P.gather(1, target)  # (rows, 1)
    surprise = likelihood.clamp_min(torch.finfo(P.dtype).tiny).log_().neg_().squeeze(1)
    if differentiate:
        P.scatter_(1, target, likelihood - 1)
        if weights is not None:
            P.mul_(weights.unsqueeze(1))
    return surprise, P


# ``fused``, in each of these: whether our compiled kernels may serve on a CPU.


def look_up(ids: Tensor, table: Tensor, b: Tensor | None = None, *, fused: bool = True) -> Tensor:
    """``table[ids] + b``: (n,), (vocabulary, columns), (columns,) or None -> (n, columns)."""
    found: Tensor = LookUp.apply(ids.long(), table, b, fused)  # type: ignore[no-untyped-call]
    return found


def linear(X: Tensor, W: Tensor, b: Tensor | None, *, bf16: bool = False, fused: bool = True) -> Tensor:
    """``X @ W + b``: (..., inner), (inner, columns), (columns,) or None -> (..., columns)."""
    Y: Tensor = Linear.apply(X.reshape(-1, X.shape[-1]), W, b, bf16, fused)  # type: ignore[no-untyped-call]
    return Y.view(*X.shape[:-1], W.shape[1])


def output_loss(
    H: Tensor, W: Tensor, b: Tensor, targets: Tensor, mask: Tensor | None, *, bf16: bool = False, fused: bool = True
) -> Tensor:
    """Mean cross-entropy in nats: (rows, hidden), (hidden, vocabulary), (vocabulary,), (rows,), (rows,) -> ()."""
    differentiate = torch.is_grad_enabled() and (H.requires_grad or W.requires_grad or b.requires_grad)
    given = (H, W, b, targets, mask, bf16, differentiate, fused)
    loss: Tensor = OutputLoss.apply(*given)  # type: ignore[no-untyped-call]
    return loss
