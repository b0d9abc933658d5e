# Binds src_c/ops/losses.c.
