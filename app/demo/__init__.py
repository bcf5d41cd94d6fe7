"""Plays a referral as its people would: real server, real clients, a receiver process of its own."""
