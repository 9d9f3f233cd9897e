"""Knowledge transfer from teacher to student, pretraining distillation, and the checks of both."""
