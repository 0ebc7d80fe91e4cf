"""The playground: a Textual app over ``core``. It never imports torch; engines do, in processes of their own."""
