"""Readers of public dumps: each turns its files into questions with answers, in bounded memory."""
