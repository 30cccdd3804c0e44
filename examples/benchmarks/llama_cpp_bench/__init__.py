"""The parts of bench_llama_cpp: llama.cpp's own server in a process of its own, and how it is asked."""
