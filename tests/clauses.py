"""Clauses of which tests make small Chinese texts."""

CLAUSES = (
    "小城在河的北岸",
    "老桥通往东边的市场",
    "春天山上开满白花",
    "商人把茶叶运到海边",
    "学校有三百名学生",
    "湖水在冬天会结冰",
)
