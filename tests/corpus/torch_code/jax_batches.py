import jax
import jax.numpy as jnp


@jax.jit
def loss(params, batch):
    logits = jnp.dot(batch["image"], params["w"]) + params["b"]
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, batch["label"][:, None], axis=1).mean()
