"""Forms that people load, each run and compared with the model when it is written, and again by another
way afterwards.
"""
