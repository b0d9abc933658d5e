# Binds src_c/ops/avgpool2d.c.
