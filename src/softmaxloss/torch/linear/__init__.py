"""The linear loss on tensors: its engine, its operators, and the layer for the loop over blocks."""
