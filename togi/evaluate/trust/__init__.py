"""The eight sides of trust (DecodingTrust): what a model does to people, and under pressure."""
