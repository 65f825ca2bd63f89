from rowspace.testing import HashingEmbedder


class Other(HashingEmbedder):
    def __init__(self):
        super().__init__()
        self.name = "other"


other = Other()


def small():
    return HashingEmbedder(3)
