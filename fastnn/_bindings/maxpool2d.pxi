# Binds src_c/ops/maxpool2d.c.
