"""Queues, jobs and processes behind the routes."""
