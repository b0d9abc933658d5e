# Binds src_c/ops/layernorm.c.
