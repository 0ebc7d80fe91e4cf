"""The recurrent language models: RNN, GRU and LSTM, from scratch and over ``torch.nn``, behind one interface."""
