"""The words of the playground and what they mean, and which of them each pane shows."""

from __future__ import annotations

WORDS = (
    ("token", "what the model reads one at a time: a character or a word"),
    ("perplexity", "the number of equally likely tokens that the model hesitates between, on average: 1 is certainty, "
     "the vocabulary size is pure guessing. On the training text it measures how well that text is known, on the "
     "held-out text how well an unseen text of the same kind is predicted"),
    ("uniform", "the perplexity of guessing without having read anything: the vocabulary size"),
    ("bits/token", "the binary logarithm of the perplexity: the number of yes-or-no questions open at each token"),
    ("nats/token", "the natural logarithm of the perplexity: the loss that training lowers, averaged over tokens"),
    ("held out", "the end of the text, which is not trained on. If its perplexity rises while the training perplexity "
     "falls, the model overfits"),
    ("memorised", "the training perplexity is below 2 and the held-out perplexity at least four times as high, which "
     "is two bits a token more"),
    ("best", "the epoch with the lowest held-out perplexity: its weights are kept beside the latest ones"),
    ("patience", "the number of epochs without a better held-out perplexity after which training stops early"),
    ("unigram", "and bigram, trigram: the perplexity of counting single tokens, pairs and triples on the text that the "
     "line names; a model below these lines has learned more than they can"),
    ("bidirectional", "a model that reads the text from both ends sees the token that it predicts: it cannot write"),
    ("Zipf", "the frequency of a text's tokens over their rank, both as logarithms: in every language nearly a "
     "straight line, whose slope is shown. It is the last view in Data (v)"),
    ("documents", "stream: the text is one sequence; lines: each line is a poem with a start, an end and padding"),
    ("epoch", "one pass over the text"),
    ("batch", "the sequences that are processed together in one update of the weights"),
    ("steps", "the length of a sequence: the number of steps that the gradient goes back in time"),
    ("learning rate", "the size of each update of the weights: too small is slow, too large diverges"),
    ("gradient norm", "the length of the gradient of all weights together, before clipping, averaged over the batches "
     "of an epoch: it grows without end where the gradient explodes, and is near 0 where nothing is learned"),
    ("tokens/s", "the tokens of the text that are trained on in a second, without measuring and saving"),
    ("ETA", "the time until the last epoch, at the pace of the latest ones"),
    ("clip", "the largest gradient norm allowed: the gradients of recurrent models can explode"),
    ("weights", "the number of values that training changes; in Generate and Inspect, the checkpoint that is used"),
    ("hidden", "the number of values that the model remembers from token to token"),
    ("sampling", "sequential: each batch continues where the one before ended; random: batches come from anywhere"),
    ("temperature", "below 1 the model prefers likely tokens, above 1 unlikely tokens become more frequent"),
    ("surprise", "how unlikely a token was for the model, in bits: 1 bit is a coin toss, 10 bits one in a thousand"),
    ("state", "H, the hidden units after a token: all that the model remembers; an LSTM also keeps the cell state C"),
    ("gate", "a value between 0 and 1 that decides how much passes: R and Z in a GRU, I, F and O in an LSTM"),
    ("one-hot", "a vector of zeros with a one at the place of the token: multiplied by a matrix, it picks a row of it"),
    ("softmax", "turns the scores Y of all tokens into probabilities, whose sum is 1"),
    ("lag", "steps back in time from the loss; truncated back-propagation cuts the gradient after num_steps of them"),
    ("factor", "what a step back multiplies the norm of the gradient by, on average; below 1 the gradient vanishes, "
     "above 1 it explodes. The half-life is the number of steps in which the norm halves"),
    ("spectral radius", "the largest absolute eigenvalue of W_hh (of an LSTM: W_hc), the matrix that repeats in time"),
    ("saturated", "a value beyond 0.9, or a gate beyond 0.9 or below 0.1: there the activation is flat and lets hardly "
     "any gradient through. A dead unit hardly changes at all"),
    ("correlation", "how well a unit follows a feature of the text: 1 rises with it, -1 falls with it, 0 is unrelated"),
    ("saliency", "gradient times input: how much each token before it speaks for a token or against it, in Why"),
    ("cosine", "of the angle between two vectors: 1 is the same direction, 0 is unrelated"),
    ("parity", "whether the model from scratch and torch.nn compute the same with the same weights"),
    ("acrostic 藏头", "a text whose lines begin with given characters, one each"),
    ("mood", "a text that the model reads before it writes: it is not shown, but it influences what follows"),
    ("copy meter", "the longest part of the generated text that occurs literally in the training text"),
    ("run", "one model with its settings, its curve and its weights, in a folder of its own"),
    ("sweep", "many runs that differ in some settings. A grid trains every combination of their values; in a search, "
     "Optuna chooses the values, and ends runs early that do worse than others (pruned)"),
    ("trash", "where deleted runs stay for 30 days: t in Runs shows it, u restores a run"),
    ("engine", "the process that trains a run: it continues when this screen is closed"),
)  # fmt: skip

ALIASES = {
    "perplexity": ("ppl",),
    "bits/token": ("bits",),
    "nats/token": ("nats", "loss"),
    "held out": ("held-out",),
    "learning rate": ("lr",),
    "weights": ("parameters",),
    "epoch": ("epochs",),
    "token": ("tokens",),
    "saturated": ("dead",),
}
"""Other spellings of the words on the screen."""

PANE_WORDS = {
    "data": ("token", "Zipf", "documents", "batch", "steps", "one-hot", "unigram"),
    "train": ("perplexity", "bits/token", "nats/token", "gradient norm", "tokens/s", "ETA",
              "held out", "uniform", "unigram", "best", "memorised", "epoch", "batch",
              "steps", "learning rate", "clip", "hidden", "sampling", "patience", "bidirectional", "run", "sweep",
              "engine"),
    "generate": ("token", "surprise", "temperature", "acrostic 藏头", "mood", "copy meter", "softmax"),
    "inspect": ("state", "gate", "one-hot", "softmax", "lag", "factor", "spectral radius", "saturated", "correlation",
                "saliency", "cosine", "parity", "surprise"),
    "runs": ("run", "perplexity", "held out", "best", "weights", "gradient norm", "tokens/s", "sweep", "trash",
             "engine"),
    "lab": ("steps", "epoch", "learning rate", "hidden"),
}  # fmt: skip
"""The words that each pane shows, by the name of the pane."""


def meanings(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Some of ``WORDS``, in the given order."""
    known = dict(WORDS)
    return [(word, known[word]) for word in words]
