# Binds src_c/ops/augment.c.
