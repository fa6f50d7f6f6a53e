"""What is seen in the stream beside the prediction of each event."""
