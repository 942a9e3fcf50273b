"""Configs of scores: genres, their judges, the accompanist, the drummer."""
