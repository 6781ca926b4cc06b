"""An edit as an ordinary model or adapter, for programs that know nothing of mmke."""
