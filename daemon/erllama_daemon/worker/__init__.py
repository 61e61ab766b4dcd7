"""The process around one loaded model: frames come in, ticks go to the engine. Nothing imports it: it is run."""
