"""The strategy is registered, as in every process that serves."""

import rb_litellm

rb_litellm.register()
