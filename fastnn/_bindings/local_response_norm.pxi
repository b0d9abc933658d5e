# Binds src_c/ops/local_response_norm.c.
